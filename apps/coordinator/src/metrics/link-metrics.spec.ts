import { describe, expect, it } from '@jest/globals';
import type { TransportCounters } from '@concordat/raft';
import { RecordingBus } from '../transactions/testing/recording-bus.js';
import { watchBus, watchStorage, watchTransport } from './link-metrics.js';
import { Metrics } from './metrics.js';

const NOTHING_YET: TransportCounters = {
  sentMessages: 0,
  sentAppends: 0,
  sentEmptyAppends: 0,
  receivedMessages: 0,
  droppedMessages: 0,
  misaddressedMessages: 0,
  malformedFrames: 0,
  refusedStreams: 0,
  refusedConnections: 0,
  refusedServers: 0,
};

describe('metrics of the links', () => {
  it('show what the transport has turned away by now, whose counters are copies', async () => {
    const metrics = new Metrics();
    let counters = NOTHING_YET;
    watchTransport(metrics, {
      get counters() {
        return { ...counters };
      },
    });
    counters = { ...counters, refusedStreams: 1, refusedConnections: 2, refusedServers: 4, malformedFrames: 5 };
    const text = await metrics.text();
    expect(text).toMatch(/^concordat_raft_refused_calls_total 3$/m);
    expect(text).toMatch(/^concordat_raft_refused_servers_total 4$/m);
    expect(text).toMatch(/^concordat_raft_malformed_frames_total 5$/m);
  });

  it('show the appends with and without entries, and how often the log was made durable', async () => {
    const metrics = new Metrics();
    watchTransport(metrics, { counters: { ...NOTHING_YET, sentAppends: 5, sentEmptyAppends: 8 } });
    watchStorage(metrics, { durableAppends: 3 });
    const text = await metrics.text();
    expect(text).toMatch(/^concordat_raft_sent_appends_total\{content="entries"\} 5$/m);
    expect(text).toMatch(/^concordat_raft_sent_appends_total\{content="none"\} 8$/m);
    expect(text).toMatch(/^concordat_raft_log_syncs_total 3$/m);
  });

  it('show the requests to the broker by kind, and none where there is no broker', async () => {
    const metrics = new Metrics();
    const bus = new RecordingBus();
    watchBus(metrics, { deadLetters: () => bus.deadLetters(), brokerRequests: () => ({ Produce: 2, Fetch: 4 }) });
    const text = await metrics.text();
    expect(text).toMatch(/^concordat_broker_requests_total\{kind="Produce"\} 2$/m);
    expect(text).toMatch(/^concordat_broker_requests_total\{kind="Fetch"\} 4$/m);
    const direct = new Metrics();
    watchBus(direct, { deadLetters: () => bus.deadLetters() });
    expect(await direct.text()).not.toMatch(/^concordat_broker_requests_total\{/m);
  });

  it('show what the bus has put aside by now, by reason', async () => {
    const metrics = new Metrics();
    const bus = new RecordingBus();
    let letters = bus.deadLetters();
    watchBus(metrics, { deadLetters: () => letters });
    letters = { ...letters, OTHER_CLUSTER: 7 };
    expect(await metrics.text()).toMatch(/^concordat_dead_letters_total\{reason="OTHER_CLUSTER"\} 7$/m);
  });
});
