import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { startTestPostgres, type TestPostgres } from '../support/postgres.js';

const PROGRAM = path.resolve(import.meta.dirname, '../../dist/test/support/database-libraries/nestjs-cls-main.js');

let server: TestPostgres;

beforeAll(async () => {
  server = await startTestPostgres();
}, 60_000);

afterAll(async () => {
  await server?.stop();
});

describe('@Transactional() of nestjs-cls, with TypeORM and Drizzle', () => {
  it('joins global transactions without a change, and is local without one', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, server.url], { timeout: 50_000 });
    expect(JSON.parse(stdout)).toHaveLength(8);
  });
});
