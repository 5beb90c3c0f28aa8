import { describe, expect, it } from '@jest/globals';
import { CertificateError } from './certificates/watched-certificates.js';
import { EXIT, startFailureCode } from './service-process.js';

describe('the exit code of a service that could not start', () => {
  it('says that a setting or its file is wrong, which another start does not change', () => {
    expect(startFailureCode(new CertificateError('certificate', '/tls/own.pem', 'valid now'))).toBe(EXIT.configuration);
  });

  it('says of everything else that it failed', () => {
    for (const thrown of [Object.assign(new Error('taken'), { code: 'EADDRINUSE' }), new Error('x'), 'x', undefined]) {
      expect(startFailureCode(thrown)).toBe(EXIT.failed);
    }
  });
});
