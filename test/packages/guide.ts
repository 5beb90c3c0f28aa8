/** What a reader of a guide does, in the order of the guide. */
export type Step =
  | { readonly kind: 'file'; readonly name: string; readonly content: string }
  | { readonly kind: 'command'; readonly text: string; readonly prints: string | undefined }
  | { readonly kind: 'service'; readonly text: string; readonly prints: string };

interface Block {
  readonly language: string;
  /** what follows the language in the first line: a file's name, or `keeps-running` */
  readonly info: string;
  readonly text: string;
  /** the paragraph before it */
  readonly before: string;
}

/**
 * The steps of a guide. A block with the name of a file is saved, a block of `sh` is run, and a block of `text` behind
 * it is what it prints. A command that `keeps-running` prints these lines among others.
 *
 * @throws Error when a reader could not know the name of a file, or a block has no meaning
 */
export function stepsOf(markdown: string): readonly Step[] {
  const blocks = blocksOf(markdown);
  const steps = blocks.flatMap((block, place) => {
    if (block.language === 'text') return [];
    const next = blocks[place + 1];
    return [stepOf(block, next?.language === 'text' ? next.text : undefined)];
  });
  return steps;
}

/** The section under a heading, with the heading and the sections below it. @throws Error when there is none */
export function sectionOf(markdown: string, heading: string): string {
  const start = `\n${markdown}`.indexOf(`\n${heading}\n`);
  if (start < 0) throw new Error(`the guide has no section "${heading}"`);
  const [level = ''] = /^#+/.exec(heading) ?? [];
  const end = new RegExp(`^#{1,${level.length}} `, 'm').exec(markdown.slice(start + heading.length));
  return markdown.slice(start, end ? start + heading.length + end.index : undefined);
}

function blocksOf(markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)].map((match) => {
    const [, language = '', info = '', text = ''] = match;
    const before = markdown.slice(0, match.index).trimEnd().split('\n\n').at(-1) ?? '';
    return { language, info, text, before };
  });
}

function stepOf({ language, info, text, before }: Block, prints: string | undefined): Step {
  if (language === 'sh' && info === '') return { kind: 'command', text, prints };
  if (language === 'sh' && info === 'keeps-running' && prints !== undefined) return { kind: 'service', text, prints };
  if (language === 'sh' || info === '') throw new Error(`nobody knows what to do with the block:\n${text}`);
  if (!before.includes(`\`${info}\``)) throw new Error(`the text before ${info} does not name the file`);
  return { kind: 'file', name: info, content: text };
}
