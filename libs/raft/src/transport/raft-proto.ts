/**
 * The wire format, in protocol buffers. It stands in a string because it is read at run time and the build
 * copies no other files. Field numbers are never given to another meaning.
 */
export const raftProto = `
syntax = "proto3";
package concordat.raft.v1;

// One stream per direction: the caller sends frames, the called node only echoes their pings and gives a status at
// the end. A node that accepts the stream sends its response headers at once. Request metadata says who is speaking:
//   concordat-cluster-bin  name of the cluster, UTF-8
//   concordat-from         id of the calling node, decimal
//   concordat-to           id of the called node, decimal
//   concordat-address-bin  host:port where the calling node listens, UTF-8; optional
service RaftTransport {
  rpc Exchange (stream Frame) returns (stream Echo);
}

// What was to be sent in one turn, in order. May be empty. Holds at most 16,384 messages and 131,072 entries.
message Frame {
  repeated Envelope messages = 1;
  uint32 ping = 2; // asks for an echo of this number, 0: none
}

message Echo {
  uint32 ping = 1;
  uint64 clock = 2; // what the called node's clock says, in milliseconds since 1970, 0: not told
}

// A message of Raft. Node ids, terms and indices are integers up to 2^48.
message Envelope {
  uint64 from = 1; // sender, as in the metadata
  uint64 to = 2;   // addressee, as in the metadata
  uint64 term = 3; // the sender's term
  oneof content {  // must be set, once
    RequestPreVote request_pre_vote = 4;
    PreVoteReply pre_vote_reply = 5;
    RequestVote request_vote = 6;
    RequestVoteReply request_vote_reply = 7;
    AppendEntries append_entries = 8;
    AppendEntriesAccepted append_entries_accepted = 9;
    AppendEntriesRefused append_entries_refused = 10;
    SnapshotChunk snapshot_chunk = 11;
    SnapshotChunkReply snapshot_chunk_reply = 12;
    TimeoutNow timeout_now = 13;
    ReadIndexRequest read_index_request = 14;
    ReadIndexReply read_index_reply = 15;
    Introduction introduction = 16;
    IntroductionReply introduction_reply = 17;
  }
  uint64 from_incarnation = 18; // of the sender's directory
  uint64 to_incarnation = 19;   // whom it is meant for, 0: whoever has that id
  uint64 group_id = 20;         // of the sender, 0: it belongs to none yet
}

message RequestPreVote {
  uint64 last_log_index = 1;
  uint64 last_log_term = 2;
}

message PreVoteReply {
  bool granted = 1;
}

message RequestVote {
  uint64 last_log_index = 1;
  uint64 last_log_term = 2;
  bool transfer = 3; // the leader asked for this election
}

message RequestVoteReply {
  bool granted = 1;
}

enum EntryKind {
  ENTRY_KIND_UNSPECIFIED = 0;   // never sent
  ENTRY_KIND_NORMAL = 1;        // a command of the user
  ENTRY_KIND_NO_OP = 2;         // opens a leader's term; without data
  ENTRY_KIND_CONFIGURATION = 3; // the members of the group, JSON in UTF-8
}

message Entry {
  uint64 term = 1;
  EntryKind kind = 2;
  bytes data = 3;
}

message AppendEntries {
  uint64 previous_index = 1;
  uint64 previous_term = 2;
  repeated Entry entries = 3; // indices previous_index + 1, + 2, ...; at most 65,536
  uint64 commit_index = 4;
  uint64 round = 5;           // the leader's confirmation round, 0: none
}

message AppendEntriesAccepted {
  uint64 match_index = 1;
  uint64 round = 2;
}

message AppendEntriesRefused {
  uint64 previous_index = 1;
  uint64 hint_index = 2;
  uint64 hint_term = 3;
  uint64 round = 4;
}

message SnapshotChunk {
  uint64 index = 1;
  uint64 term = 2;
  bytes configuration = 3; // the members at that index, JSON in UTF-8
  uint64 size_bytes = 4;   // of the whole snapshot
  fixed32 checksum = 5;    // CRC-32 of the whole snapshot
  uint64 offset = 6;       // position of data within the whole
  bytes data = 7;
}

message SnapshotChunkReply {
  uint64 snapshot_index = 1;
  uint64 snapshot_term = 2;
  uint64 next_offset = 3;
}

message TimeoutNow {}

message ReadIndexRequest {
  uint64 request_id = 1;
}

message ReadIndexReply {
  uint64 request_id = 1;
  uint64 index = 2;
}

message Introduction {
  uint64 last_log_index = 1;
  uint64 founders = 2; // fingerprint of the first members, 0: it founds no group
}

message IntroductionReply {
  uint64 last_log_index = 1;
  uint64 founders = 2;
  uint64 leader_id = 3;         // 0: none is known
  uint64 known_incarnation = 4; // under which it knows the asker, 0: it does not
}
`;
