// Names of images in docker-compose.yml and in Dockerfiles, and their digests. docs/security.md explains it.

/** Where a name stands that a variable may replace: `${X_IMAGE:-name}` and `ARG X_IMAGE=name`. */
const NAME = /(?<=\$\{[A-Z]+_IMAGE:-|^ARG [A-Z]+_IMAGE=)([a-z0-9./-]+:[\w.-]+)(@sha256:[0-9a-f]{64})?/gm;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** The images of a text, each once: name with its version, and the digest if it has one. */
export function imagesIn(text) {
  const found = new Map();
  for (const [, name, digest] of text.matchAll(NAME)) found.set(name, digest?.slice(1));
  return [...found].map(([name, digest]) => ({ name, digest }));
}

/**
 * The text with the digest of each image.
 *
 * @param digestOf asked once for each name
 * @throws Error for what is no digest
 */
export function pinImages(text, digestOf) {
  const known = new Map();
  return text.replaceAll(NAME, (_, name) => {
    if (!known.has(name)) known.set(name, digestOf(name).trim());
    const digest = known.get(name);
    if (!DIGEST.test(digest)) throw new Error(`the registry gave no digest of ${name}, but "${digest.slice(0, 80)}"`);
    return `${name}@${digest}`;
  });
}
