import type { ChannelOptions } from '@grpc/grpc-js';

/** Room for the fields around the data of a message of the largest size. */
const frameOverheadBytes = 2 * 1024 * 1024;

/**
 * Options of both ends. Pings find a peer that is gone without a word within about four seconds. Retries of gRPC
 * are off because they would hold what was sent, and a connection is not shared, so that closing it frees it.
 * Channelz stays on: without it a grpc-js server (1.14) forgets its sessions and cannot cut them at the end.
 * (gRPC switches Nagle's algorithm off by itself.)
 */
export function channelOptions(maxMessageBytes: number): ChannelOptions {
  return {
    'grpc.max_receive_message_length': maxMessageBytes + frameOverheadBytes,
    'grpc.max_send_message_length': maxMessageBytes + frameOverheadBytes,
    'grpc.max_concurrent_streams': 16,
    'grpc.keepalive_time_ms': 2000,
    'grpc.keepalive_timeout_ms': 2000,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.use_local_subchannel_pool': 1,
    'grpc-node.flow_control_window': 4 * 1024 * 1024,
  };
}
