import { describe } from '@jest/globals';
import { describeFileVariables } from '../../../test/support/service-files.js';
import { parseSettings, VARIABLES } from './settings.js';

describe('the variables of a service of the shop that name files', () => {
  describeFileVariables(VARIABLES, { SHOP_HTTP: '127.0.0.1:8094' }, (environment) => {
    const result = parseSettings('orders', environment);
    return result.ok ? [] : result.problems;
  });
});
