// The page: who is it, which conversation is open, and the views over one session.
import { byId } from './dom.js';
import { isUser } from './names.js';
import { Session } from './session.js';
import { Dialogs } from './views/dialogs.js';
import { HeaderView } from './views/header.js';
import { ListView } from './views/list.js';
import { NetworkPanel } from './views/network-panel.js';
import { ThreadView } from './views/thread.js';

const USER_KEY = 'everyonce-chat:user';

/** `?user=` wins, so that tabs can be different people. */
function storedUser() {
  return new URLSearchParams(location.search).get('user') ?? localStorage.getItem(USER_KEY) ?? '';
}

/** @param {string} [error] */
function showLogin(error = '') {
  byId('login').hidden = false;
  byId('login-error').textContent = error;
  const name = byId('login-name');
  name.value = storedUser();
  name.focus();
  byId('login-form').addEventListener('submit', (/** @type {Event} */ event) => {
    event.preventDefault();
    const user = name.value.trim();
    if (!isUser(user)) {
      byId('login-error').textContent = 'Use 1 to 64 letters, digits or _ . @ - for your name.';
      name.focus();
      return;
    }
    localStorage.setItem(USER_KEY, user);
    byId('login').hidden = true;
    void showChat(user);
  });
}

function logOut() {
  localStorage.removeItem(USER_KEY);
  // What is unsent stays in this user's outbox, and goes out when they are back.
  location.href = location.pathname;
}

/** The conversation that the address names: the browser's back button works as one expects. */
function addressed() {
  try {
    const conv = decodeURIComponent(location.hash.slice(1));
    return /^(dm:[^:]+:[^:]+|g:.+)$/.test(conv) ? conv : null;
  } catch {
    return null;
  }
}

/** @param {string} me */
async function showChat(me) {
  let session;
  try {
    session = await Session.start(me);
  } catch (error) {
    return showLogin(`This browser keeps no data for this page: ${error}`);
  }
  const { state } = session;
  const show = (/** @type {string} */ conv) => {
    location.hash = encodeURIComponent(conv);
    if (state.open === conv) thread.focus();
  };
  const leave = () => {
    const was = state.open;
    history.pushState(null, '', location.pathname + location.search);
    void route();
    list.focus(was);
  };
  const list = new ListView(session, show);
  const dialogs = new Dialogs(session, show);
  const thread = new ThreadView(session, leave, () => dialogs.addMembers());
  const panel = new NetworkPanel(state);
  new HeaderView(session, { logOut, togglePanel: () => panel.toggle() });

  const route = async () => {
    const conv = addressed();
    byId('chat').dataset.screen = conv === null ? 'list' : 'thread';
    await session.open(conv);
    thread.opened();
  };
  // Told of both ways: a new hash, and the browser's back and forward.
  addEventListener('popstate', () => void route());
  byId('chat').hidden = false;
  await route();
}

if ('serviceWorker' in navigator) {
  // Without it the page works too, as long as the server answers.
  navigator.serviceWorker.register('sw.js').catch(() => {});
}

const user = storedUser();
if (isUser(user)) void showChat(user);
else showLogin(user === '' ? '' : 'Use 1 to 64 letters, digits or _ . @ - for your name.');
