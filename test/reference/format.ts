import path from 'node:path';
import prettier from 'prettier';

/** As `npm run format` leaves a page. */
export async function format(root: string, page: string, text: string): Promise<string> {
  const options = await prettier.resolveConfig(path.join(root, 'docs/reference', page));
  return prettier.format(text, { ...options, parser: 'markdown' });
}
