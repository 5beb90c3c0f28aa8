import { describe, expect, it } from '@jest/globals';
import { parseRequestTarget } from './request-target.js';

describe('the target of a request', () => {
  it.each([
    ['origin-form', '/v1/transactions?limit=3&cursor=a%20b', '/v1/transactions?limit=3&cursor=a%20b'],
    ['absolute-form', 'http://host/v1/in-doubt?limit=3', '/v1/in-doubt?limit=3'],
    ['absolute-form in capitals, with a port', 'HTTP://HOST:8081/healthz', '/healthz'],
    ['absolute-form of https and IPv6', 'https://[::1]:8081/healthz', '/healthz'],
    ['absolute-form without a path', 'http://host', '/'],
    ['absolute-form without a path, with a query', 'http://host?a=b', '/?a=b'],
    ['a path that looks like a host', '//host/v1', '//host/v1'],
    ['a path that holds a URL', '/http://host/v1', '/http://host/v1'],
    ['encoded dots and slashes', '/v1/%2e%2e%2Fx', '/v1/%2e%2e%2Fx'],
    ['brackets', '/v1?a[]=1', '/v1?a[]=1'],
  ])('is read in %s', (_name, target, pathAndQuery) => {
    expect(parseRequestTarget(target)).toEqual({ ok: true, pathAndQuery });
  });

  it.each([
    ['', 'neither a path nor a URL'],
    ['*', 'this server does not support'],
    ['host:443', 'neither a path nor a URL'],
    ['v1/transactions', 'neither a path nor a URL'],
    ['?a=b', 'neither a path nor a URL'],
    ['ftp://host/v1', 'another scheme'],
    ['http://', 'valid host'],
    ['http:///v1', 'valid host'],
    ['http://user:secret@host/v1', 'valid host'],
    ['http://host:port/v1', 'valid host'],
    ['http://[::1/v1', 'valid host'],
    ['/v1#/../x', 'percent-encoded'],
    ['http://host#x', 'percent-encoded'],
    ['/v1#%zz', 'percent-encoded'],
    ['/v1/%zz', 'percent-encoded'],
    ['/v1?a=%', 'percent-encoded'],
    ['/v1\\transactions', 'percent-encoded'],
    ['/v1?a="b"', 'percent-encoded'],
    ['/v1/\u00e4', 'percent-encoded'],
    ['/v1\n', 'percent-encoded'],
    ['/v1/ a', 'percent-encoded'],
  ])('%j is refused', (target, reason) => {
    const result = parseRequestTarget(target);
    expect(!result.ok && result.reason).toContain(reason);
  });
});
