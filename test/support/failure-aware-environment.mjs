import { TestEnvironment } from 'jest-environment-node';

/** Where a test file can read whether one of its tests or hooks has failed so far. */
const HAS_FAILED = Symbol.for('concordat.test.has-failed');

/** Node.js, as usual. It also tells the test file about failures, so that what ends a system can first show its logs. */
export default class FailureAwareEnvironment extends TestEnvironment {
  handleTestEvent({ name }) {
    if (name === 'test_fn_failure' || name === 'hook_failure') this.global[HAS_FAILED] = true;
  }
}
