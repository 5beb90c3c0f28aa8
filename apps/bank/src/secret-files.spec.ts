import { describe } from '@jest/globals';
import { describeFileVariables } from '../../../test/support/service-files.js';
import { parseConfig, VARIABLES } from './config.js';

describe('the variables of a bank that name files', () => {
  const own = { CONCORDAT_PARTICIPANT: 'orders', CONCORDAT_HTTP: '127.0.0.1:8091' };
  describeFileVariables(VARIABLES, own, (environment) => {
    const result = parseConfig(environment);
    return result.ok ? [] : result.problems;
  });
});
