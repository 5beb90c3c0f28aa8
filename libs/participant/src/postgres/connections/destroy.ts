import type { ClientBase } from 'pg';

/** What `pg` keeps to itself. */
interface Connected {
  readonly connection?: { readonly stream?: { destroy(): void } };
}

/**
 * Closes the socket at once. `end()` of a pipelined client waits for its statements, and that of any client for the
 * other side: neither comes from a server that does not answer.
 */
export function destroy(client: ClientBase): void {
  (client as unknown as Connected).connection?.stream?.destroy();
}
