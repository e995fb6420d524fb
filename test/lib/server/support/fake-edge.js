// A socket that only remembers what was done to it.

export class FakeEdge {
  remoteAddress = '127.0.0.1';
  bufferedAmount = 0;
  paused = 0;
  written = [];
  closedWith = 0;

  get isPaused() {
    return this.paused !== 0;
  }

  write(bytes) {
    this.written.push(Buffer.from(bytes).toString());
  }

  close(code, reason) {
    if (this.closedWith) return;
    this.closedWith = code;
    this.reason = reason;
    this.whenClosed?.(code);
  }

  terminate() {
    this.close(1006);
  }

  pause(reason) {
    this.paused |= reason;
  }

  resume(reason) {
    this.paused &= ~reason;
  }
}
