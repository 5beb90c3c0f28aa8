import { afterEach, describe, expect, it } from '@jest/globals';
import { DuplicatePackageError, oncePerProcess } from './once-per-process.js';
import { VERSION } from './version.js';

const NAME = '@concordat/some-package';
const here = { name: NAME, location: 'file:///app/node_modules/@concordat/some-package/dist/state.js' };
const there = {
  name: NAME,
  location: 'file:///app/node_modules/other/node_modules/@concordat/some-package/dist/state.js',
};

afterEach(() => {
  Reflect.deleteProperty(globalThis, Symbol.for(NAME));
});

describe('state that exists once per process', () => {
  it('is made by the first copy, and found under a symbol that every copy knows', () => {
    const state = oncePerProcess(here, () => ({ open: 1 }));
    expect(state).toEqual({ open: 1 });
    expect(Reflect.get(globalThis, Symbol.for(NAME))).toEqual({ version: VERSION, location: here.location, state });
  });

  it('is kept when a test runner loads the same file again', () => {
    const state = oncePerProcess(here, () => ({}));
    const again = oncePerProcess({ ...here, location: `${here.location}?reload=2` }, () => ({}));
    expect(again).toBe(state);
  });

  it.each([
    ['of the same version', VERSION],
    ['of another version', '9.9.9'],
  ])('refuses a second copy %s, and names both', (_, version) => {
    oncePerProcess(here, () => ({}));
    const second = (): unknown => oncePerProcess({ ...there, version }, () => ({}));
    expect(second).toThrow(DuplicatePackageError);
    expect(second).toThrow(
      `version ${VERSION} from ${here.location} and version ${version} from ${there.location}. A transaction of one`,
    );
    expect(second).toThrow(`"npm ls ${NAME}"`);
  });

  it('refuses another version in the same place, which was replaced under a running process', () => {
    oncePerProcess(here, () => ({}));
    expect(() => oncePerProcess({ ...here, version: '9.9.9' }, () => ({}))).toThrow(DuplicatePackageError);
  });

  it('is made again when the first attempt failed', () => {
    const fails = (): never => {
      throw new Error('no');
    };
    expect(() => oncePerProcess(here, fails)).toThrow('no');
    expect(oncePerProcess(here, () => 2)).toBe(2);
  });

  it('belongs to one package', () => {
    oncePerProcess(here, () => 1);
    const other = { ...there, name: `${NAME}-2` };
    expect(oncePerProcess(other, () => 2)).toBe(2);
    Reflect.deleteProperty(globalThis, Symbol.for(other.name));
  });
});
