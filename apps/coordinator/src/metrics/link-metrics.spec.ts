import { describe, expect, it } from '@jest/globals';
import type { TransportCounters } from '@concordat/raft';
import { RecordingBus } from '../transactions/testing/recording-bus.js';
import { watchBus, watchTransport } from './link-metrics.js';
import { Metrics } from './metrics.js';

describe('metrics of the links', () => {
  it('show what the transport has turned away by now, whose counters are copies', async () => {
    const metrics = new Metrics();
    let counters = { refusedStreams: 0, refusedConnections: 0, refusedServers: 0, malformedFrames: 0 };
    watchTransport(metrics, {
      get counters() {
        return { ...counters } as TransportCounters;
      },
    });
    counters = { refusedStreams: 1, refusedConnections: 2, refusedServers: 4, malformedFrames: 5 };
    const text = await metrics.text();
    expect(text).toMatch(/^concordat_raft_refused_calls_total 3$/m);
    expect(text).toMatch(/^concordat_raft_refused_servers_total 4$/m);
    expect(text).toMatch(/^concordat_raft_malformed_frames_total 5$/m);
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
