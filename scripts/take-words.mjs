/**
 * The words of the command line, each one of the known. For --help it prints the usage and ends the process; for another
 * word it does so with exit code 1, before anything was done.
 */
export function takeWords(usage, known = []) {
  const words = process.argv.slice(2);
  if (words.includes('--help') || words.includes('-h')) {
    console.log(usage);
    process.exit(0);
  }
  const unknown = words.find((word) => !known.includes(word));
  if (unknown !== undefined) {
    console.error(`There is no option "${unknown}".\n\n${usage}`);
    process.exit(1);
  }
  return words;
}
