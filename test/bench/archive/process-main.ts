import { measureCoding } from './measure.js';

const [name = '', transactions = '', keys = ''] = process.argv.slice(2);
process.stdout.write(JSON.stringify(measureCoding(name, Number(transactions), keys === 'keys')));
