import { afterEach, describe, expect, it } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import { TestCertificates } from './http/testing/test-certificates.js';
import { Metrics } from './metrics/metrics.js';
import { watchCertificates } from './metrics/tls-metrics.js';
import { NodeCertificates } from './node-certificates.js';

const DAY_SECONDS = 86_400;
const files = new TestCertificates();
afterEach(() => files.remove());

describe('the certificate that a coordinator shows the brokers', () => {
  it('is warned of 30 days before its end, which is a metric', async () => {
    const notAfter = new Date(Date.now() + 20 * DAY_SECONDS * 1_000);
    const { cert, key } = files.authority.issue({ clusterName: 'local', nodeId: 1, notAfter });
    const tls = { certificate: files.write('kafka.pem', cert, 0o644), key: files.write('kafka.key', key) };
    const lines: string[] = [];
    const certificates = new NodeCertificates(
      {
        nodeId: 1,
        clusterName: 'local',
        raftTls: undefined,
        tls: undefined,
        kafkaSecurity: { tls, sasl: undefined },
      },
      { ...silentLogger, warn: (line) => void lines.push(line) },
    );
    certificates.stop();
    const metrics = new Metrics();
    watchCertificates(metrics, certificates);
    const [, seconds] = /^concordat_certificate_expiry_seconds\{use="kafka"\} (\d+)/m.exec(await metrics.text()) ?? [];
    expect(Number(seconds)).toBeGreaterThan(19 * DAY_SECONDS);
    expect(Number(seconds)).toBeLessThanOrEqual(20 * DAY_SECONDS);
    expect(lines).toEqual([
      `the certificate of kafka ends in 20 days: replace ${tls.certificate} and its key; no restart is needed`,
    ]);
  });
});
