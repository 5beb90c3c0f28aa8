import { Socket } from 'node:net';

/**
 * A socket that collects everything written in one turn of the event loop into one write. A system call takes about 0.1
 * ms on a small machine, and a branch's opening and first statement come in the same turn.
 */
export class GatheringSocket extends Socket {
  private gathering = false;

  override connect(...given: unknown[]): this {
    super.connect(...(given as Parameters<Socket['connect']>));
    Reflect.deleteProperty(this, 'write'); // Node.js replaces `write` when it connects
    return this;
  }

  override write(...given: unknown[]): boolean {
    if (!this.gathering) {
      this.gathering = true;
      this.cork();
      setImmediate(() => {
        this.gathering = false;
        this.uncork();
      });
    }
    return super.write(...(given as Parameters<Socket['write']>));
  }
}
