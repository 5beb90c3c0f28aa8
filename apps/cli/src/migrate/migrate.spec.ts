import { expect, it, jest } from '@jest/globals';
import { migrate } from './index.js';

it('says what to do when no server answers', async () => {
  const written = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  const options = { passwordFile: undefined, schema: 'public', grantTo: undefined, owner: undefined };
  expect(await migrate({ ...options, database: 'postgres://nobody@127.0.0.1:1/orders' })).toBe(false);
  expect(written.mock.calls.map(([text]) => text)).toEqual([
    expect.stringMatching(/^concordat: nothing was migrated: .*ECONNREFUSED.*; start the server, and check --database/),
  ]);
  written.mockRestore();
});
