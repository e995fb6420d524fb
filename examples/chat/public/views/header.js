// Who this is, whether the server is there, and the line for what went wrong.
import { byId, labelled, setAttribute, setText } from '../dom.js';
import { showAvatar } from '../names.js';

const STATES = {
  online: 'Online',
  connecting: 'Connecting …',
  offline: 'Offline',
  replaced: 'In use in another place',
  closed: 'Not connected',
};

/** @param {import('../state.js').Connection} connection */
export function connectionText({ state, error }) {
  if (state === 'closed' && error) return error.message;
  return STATES[/** @type {keyof typeof STATES} */ (state)] ?? state;
}

export class HeaderView {
  /**
   * @param {import('../session.js').Session} session
   * @param {{ logOut: () => void, togglePanel: () => void }} actions
   */
  constructor(session, { logOut, togglePanel }) {
    this.session = session;
    const { me } = session.state;
    setText(byId('me-name'), me);
    showAvatar(byId('me-avatar'), me);
    labelled(byId('logout'), 'logout', 'Log out');
    labelled(byId('network-toggle'), 'network', 'Network');
    byId('logout').addEventListener('click', logOut);
    byId('network-toggle').addEventListener('click', togglePanel);
    byId('notice-close').addEventListener('click', () => session.notify(''));
    byId('reconnect').addEventListener('click', () => session.reconnect());
    labelled(byId('notice-close'), 'close', 'Close this message');
    session.state.subscribe(() => this.update());
    this.update();
  }

  update() {
    const { state } = this.session;
    const status = byId('status');
    setText(status, connectionText(state.connection));
    setAttribute(status, 'data-state', state.connection.state);
    setText(byId('notice-text'), state.notice);
    byId('notice').hidden = state.notice === '';
    byId('reconnect').hidden = !['replaced', 'closed'].includes(state.connection.state);
    setText(byId('reconnect'), state.connection.state === 'replaced' ? 'Use here' : 'Try again');
    const unread = [...state.conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
    byId('chat').dataset.device = this.session.device;
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${state.me} · everyonce chat`;
  }
}
