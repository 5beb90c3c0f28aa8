import { isIP } from 'node:net';
import type { ChannelOptions } from '@grpc/grpc-js';
import type { NodeId } from '../core/types.js';
import { splitAddress } from './peer-address.js';

/** A frame has one message of the largest size and, before it, less than this. */
const frameOverheadBytes = 2 * 1024 * 1024;

export function maximumFrameBytes(maximumMessageBytes: number): number {
  return maximumMessageBytes + frameOverheadBytes;
}

/**
 * Options of both ends. Pings detect a vanished peer within about four seconds. Channelz, which counts every message
 * for a debugging service, is off. (Node.js and gRPC disable Nagle's algorithm themselves.)
 */
function commonOptions(maximumMessageBytes: number): ChannelOptions {
  return {
    'grpc.max_receive_message_length': maximumFrameBytes(maximumMessageBytes),
    'grpc.max_send_message_length': maximumFrameBytes(maximumMessageBytes),
    'grpc.max_concurrent_streams': 16,
    'grpc.keepalive_time_ms': 2000,
    'grpc.keepalive_timeout_ms': 2000,
    'grpc.enable_channelz': 0,
    'grpc-node.flow_control_window': 4 * 1024 * 1024,
  };
}

/** A connection without a stream is closed after a while: nodes do not use it. */
export function serverOptions(maximumMessageBytes: number): ChannelOptions {
  return { ...commonOptions(maximumMessageBytes), 'grpc.max_connection_idle_ms': 10_000 };
}

/**
 * gRPC's retries are off because they would keep sent messages. A connection is not shared, so that closing it frees
 * it. TLS to an IP address needs some SNI name, because SNI allows no addresses; it is ignored.
 */
export function clientOptions(maximumMessageBytes: number, address: string, peer: NodeId): ChannelOptions {
  const isName = isIP(splitAddress(address)?.host ?? '') === 0;
  return {
    ...commonOptions(maximumMessageBytes),
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.use_local_subchannel_pool': 1,
    ...(isName ? {} : { 'grpc.ssl_target_name_override': `node-${peer}.concordat.invalid` }),
  };
}
