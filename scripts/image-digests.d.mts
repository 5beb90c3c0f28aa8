export interface NamedImage {
  /** with its version */
  readonly name: string;
  /** `sha256:…`; undefined: whoever owns the name may change what it means */
  readonly digest: string | undefined;
}

/** The images of a text, each once. */
export function imagesIn(text: string): readonly NamedImage[];

/** The text with the digest of each image. @throws Error for what is no digest */
export function pinImages(text: string, digestOf: (name: string) => string): string;
