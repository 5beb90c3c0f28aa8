const LIVENESS_TIMEOUT_MS = 2_000;

/** The host to connect to: for a server on all addresses, loopback. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0' || host === '') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Requests `GET /healthz` of a service on this machine, for the health check of an image. Undefined when it is alive,
 * otherwise a sentence that says what is wrong.
 *
 * @param secureFetch where the service speaks TLS
 */
export async function livenessProblem(
  { host, port }: { host: string; port: number },
  secureFetch?: typeof globalThis.fetch,
): Promise<string | undefined> {
  const url = `${secureFetch ? 'https' : 'http'}://${reachableHost(host)}:${port}/healthz`;
  try {
    const response = await (secureFetch ?? fetch)(url, { signal: AbortSignal.timeout(LIVENESS_TIMEOUT_MS) });
    await response.arrayBuffer();
    return response.ok ? undefined : `${url} answered with status ${response.status}.`;
  } catch (error) {
    const { cause, message } = error as { readonly cause?: { readonly message?: string }; readonly message: string };
    return `${url} does not answer: ${cause?.message ?? message}.`;
  }
}
