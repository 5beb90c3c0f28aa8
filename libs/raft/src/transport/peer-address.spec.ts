import { describe, expect, it } from '@jest/globals';
import { isCallableAddress, splitAddress } from './peer-address.js';

describe('addresses of nodes', () => {
  it.each([
    ['127.0.0.1:7000', '127.0.0.1', 7000],
    ['node-1.example.org:1', 'node-1.example.org', 1],
    ['under_score:65535', 'under_score', 65_535],
    ['[::1]:7000', '::1', 7000],
    ['[2001:db8::7:1.2.3.4]:80', '2001:db8::7:1.2.3.4', 80],
  ])('%s', (text, host, port) => {
    expect(splitAddress(text)).toEqual({ host, port });
    expect(isCallableAddress(text)).toBe(true);
  });

  it('may have port 0 to listen on, not to call', () => {
    expect(splitAddress('127.0.0.1:0')).toEqual({ host: '127.0.0.1', port: 0 });
    expect(isCallableAddress('127.0.0.1:0')).toBe(false);
  });

  it.each([
    '',
    'host',
    ':7000',
    'host:',
    'host:65536',
    'host:-1',
    'host:7000 ',
    'host:7000\n',
    'ho st:7000',
    'http://host:7000',
    'unix:/tmp/socket',
    'ipv4:127.0.0.1:7000',
    '::1:7000',
    '[::1]',
    '[::1:7000',
    '[1:2:3]:7000',
    `${'a'.repeat(300)}:7000`,
  ])('none is %j', (text) => {
    expect(splitAddress(text)).toBeUndefined();
    expect(isCallableAddress(text)).toBe(false);
  });
});
