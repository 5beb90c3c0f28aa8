import { ClientOptionError } from '../errors/errors.js';

/**
 * The coordinators' URLs, and which of them answered last. Any coordinator answers any call, so a client stays with one
 * that works, with the leader where the answers name it, and goes on to the next one when it does not.
 */
export class Coordinators {
  private current = 0;

  private constructor(private readonly urls: readonly string[]) {}

  /** @throws ClientOptionError that names the URL and says what would be right */
  static parse(coordinators: readonly string[]): Coordinators {
    if (!Array.isArray(coordinators) || coordinators.length === 0) {
      throw new ClientOptionError("coordinators must list at least one URL, such as ['http://127.0.0.1:8081']");
    }
    return new Coordinators(coordinators.map(parseUrl));
  }

  get count(): number {
    return this.urls.length;
  }

  /** The order in which a call asks them: `next` gives the one to ask, again and again. */
  round(): { next(): string } {
    let index = this.current;
    return {
      next: () => this.urls[index++ % this.urls.length]!,
    };
  }

  /**
   * Further calls begin with this one.
   *
   * @param leaderUrl to which it has forwarded the call: if it is one of ours, they begin there
   */
  answered(url: string, leaderUrl?: string): void {
    const leader = leaderUrl === undefined ? -1 : this.urls.indexOf(leaderUrl.replace(/\/+$/, ''));
    this.current = leader === -1 ? this.urls.indexOf(url) : leader;
  }

  /** Further calls begin with another one, unless one was found in the meantime. */
  failed(url: string): void {
    if (this.urls[this.current] === url) this.current = (this.current + 1) % this.urls.length;
  }
}

/** @returns without a slash at the end */
function parseUrl(text: string): string {
  // first of all, because the other errors show the text
  if (/@/.test(text)) {
    throw new ClientOptionError(
      'coordinators: a URL must not carry a password; send it in a header (option "headers")',
    );
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw new ClientOptionError(`coordinators: "${text}" is no URL; write it as http://host:port`, { cause: error });
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ClientOptionError(`coordinators: "${text}" must begin with http:// or https://`);
  }
  if (url.search !== '' || url.hash !== '') {
    throw new ClientOptionError(`coordinators: "${text}" must end with the path, without "?" and "#"`);
  }
  return url.href.replace(/\/+$/, '');
}
