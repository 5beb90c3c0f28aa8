import { expect, it } from '@jest/globals';
import { isCoordinatorUrl, shownUrl } from './coordinator-url.js';

it.each<[text: string, isOne: boolean, shown: string]>([
  ['http://127.0.0.1:8081', true, '"http://127.0.0.1:8081"'],
  ['https://concordat.example/behind/a/proxy', true, '"https://concordat.example/behind/a/proxy"'],
  ['127.0.0.1:8081', false, '"127.0.0.1:8081"'],
  ['ftp://host', false, '"ftp://host"'],
  ['http://me:secret@host', false, 'a URL with a user or a password (give a token instead)'],
  ['http://me:secret@host:99999', false, 'a URL with a user or a password (give a token instead)'],
  ['me:secret@host', false, 'a URL with a user or a password (give a token instead)'],
])('%s is a URL of a coordinator: %s', (text, isOne, shown) => {
  expect(isCoordinatorUrl(text)).toBe(isOne);
  expect(shownUrl(text)).toBe(shown);
});
