import type { ClientBase } from 'pg';

/** Private members of `pg`. */
interface Connected {
  readonly connection?: { readonly stream?: { destroy(): void } };
}

/** Closes the socket at once. `end()` waits for running statements and for the server, which may never answer. */
export function destroy(client: ClientBase): void {
  (client as unknown as Connected).connection?.stream?.destroy();
}
