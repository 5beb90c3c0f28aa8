import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { VERSION } from '@concordat/foundation';
import { inOrder } from '../../scripts/publishing.mjs';
import { readWorkspaces } from '../../scripts/workspaces.mjs';
import { environment, pack } from './application.js';

jest.setTimeout(300_000);

const ROOT = path.resolve(import.meta.dirname, '../..');
const NAMES = inOrder(readWorkspaces(ROOT)).map(({ manifest }) => manifest.name);

describe('npm run packages:publish, with a registry that has one of the packages', () => {
  let registry: Server;
  let url: string;
  const asked: string[] = [];
  const [published = ''] = NAMES;

  beforeAll(async () => {
    pack();
    registry = createServer(({ method, url: target = '' }, response) => {
      const name = decodeURIComponent(target.slice(1));
      asked.push(`${method} ${name}`);
      if (name !== published) return void response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
      const versions = { [VERSION]: { name, version: VERSION, dist: { tarball: `${url}a.tgz`, shasum: '' } } };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ name, 'dist-tags': { latest: VERSION }, versions }));
    });
    registry.listen(0, '127.0.0.1');
    await once(registry, 'listening');
    url = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`;
  });

  afterAll(() => void registry?.close());

  async function publish(...words: readonly string[]): Promise<{ status: number; output: string }> {
    asked.length = 0;
    const child = spawn(process.execPath, [path.join(ROOT, 'scripts/publish.mjs'), ...words], {
      cwd: ROOT,
      env: {
        ...environment(),
        GITHUB_ACTIONS: '',
        GITLAB_CI: '',
        npm_config_registry: url,
        npm_config_fetch_retries: '0',
      },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += String(chunk)));
    const [status] = (await once(child, 'close')) as [number];
    return { status, output };
  }

  it('says with --dry-run what would be published, in the order in which it can be installed', async () => {
    const { status, output } = await publish('--dry-run');
    expect(`${status}\n${output}`).toMatch(/^0\n/);
    expect(output).toContain(`${published} ${VERSION} is published already`);
    const told = [...output.matchAll(/^(\S+) \S+ would be published$/gm)].map(([, name]) => name);
    expect(told).toEqual(NAMES.slice(1));
    expect(asked.filter((line) => !line.startsWith('GET '))).toEqual([]);
  });

  it('publishes nothing from a machine whose builds nobody can prove', async () => {
    const { status, output } = await publish();
    expect(status).toBe(1);
    expect(output).toContain('publish: ');
    expect(output).toContain('This is not GitHub Actions and not GitLab CI');
    expect(asked).toEqual([]);
  });
});
