import assert from 'node:assert/strict';
import { Authorization } from '../../../lib/server/authorize.js';

describe('authorize', () => {
  /** Asks one question of a hook, and gives back what the engine and the application were told. */
  const ask = async (hook, timeoutMs) => {
    const answers = [];
    const faults = [];
    const authorization = new Authorization(
      hook,
      (...answer) => answers.push(answer),
      (error) => faults.push(error),
      timeoutMs,
    );
    await authorization.ask(7, { action: 'add', user: 'alice', conv: 'g:team', members: ['bob'] });
    return { answers, faults };
  };

  it('passes on what is asked, and only true allows', async () => {
    const asked = [];
    for (const given of [true, false, undefined, 1, 'yes', Promise.resolve(true)]) {
      const { answers, faults } = await ask((...question) => {
        asked.push(question);
        return given;
      });
      assert.deepEqual(answers, [[7, (await given) === true]]);
      assert.deepEqual(faults, []);
    }
    assert.deepEqual(asked[0], ['add', { user: 'alice', conv: 'g:team', members: ['bob'] }]);
  });

  it('refuses where the hook throws, at once or later, and tells', async () => {
    const broken = () => {
      throw new Error('no database');
    };
    for (const hook of [broken, async () => broken(), () => Promise.reject('no database')]) {
      const { answers, faults } = await ask(hook);
      assert.deepEqual(answers, [[7, false]]);
      assert.equal(faults.length, 1);
      assert.equal(faults[0].option, 'authorize');
      assert.match(faults[0].message, /add was refused: no database/);
    }
  });

  it('refuses where the hook takes too long', async () => {
    const { answers, faults } = await ask(() => new Promise(() => {}), 5);
    assert.deepEqual(answers, [[7, false]]);
    assert.match(faults[0].message, /no answer within 5 ms/);
  });
});
