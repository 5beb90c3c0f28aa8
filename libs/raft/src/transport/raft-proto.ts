/**
 * The wire format, in protocol buffers. It stands in a string because it is read at run time and the build
 * copies no other files. Field numbers are never given to another meaning.
 */
export const raftProto = `
syntax = "proto3";
package concordat.raft.v1;

// One stream per direction: the caller sends, the called node only answers with a status at the end. A node
// that accepts the stream sends its response headers at once. Request metadata says who is speaking:
//   concordat-cluster-bin  name of the cluster, UTF-8
//   concordat-from         id of the calling node, decimal
//   concordat-to           id of the called node, decimal
service RaftTransport {
  rpc Exchange (stream Frame) returns (Done);
}

// Sent when a stream ends without an error; says nothing.
message Done {}

// What was to be sent in one turn, in order. May be empty.
message Frame {
  repeated Envelope messages = 1;
}

// A message of Raft. Node ids, terms and indices are integers up to 2^53-1.
message Envelope {
  uint64 from = 1; // sender, as in the metadata
  uint64 to = 2;   // addressee, as in the metadata
  uint64 term = 3; // the sender's term
  oneof content {  // must be set
    RequestVote request_vote = 4;
    RequestVoteReply request_vote_reply = 5;
    AppendEntries append_entries = 6;
    AppendEntriesReply append_entries_reply = 7;
    InstallSnapshot install_snapshot = 8;
    TimeoutNow timeout_now = 9;
  }
}

message RequestVote {
  uint64 last_log_index = 1;
  uint64 last_log_term = 2;
}

message RequestVoteReply {
  bool granted = 1;
}

enum EntryKind {
  ENTRY_KIND_UNSPECIFIED = 0; // never sent
  ENTRY_KIND_NORMAL = 1;      // a command of the user
  ENTRY_KIND_NO_OP = 2;       // opens a leader's term; without data
}

message Entry {
  uint64 term = 1;
  EntryKind kind = 2;
  bytes data = 3;
}

message AppendEntries {
  uint64 previous_index = 1;
  uint64 previous_term = 2;
  repeated Entry entries = 3; // indices previous_index + 1, + 2, ...
  uint64 commit_index = 4;
  uint64 round = 5;           // the leader's confirmation round, 0: none
}

message AppendEntriesReply {
  bool success = 1;
  uint64 match_index = 2;
  uint64 hint_index = 3;
  uint64 hint_term = 4;
  uint64 round = 5;
}

message InstallSnapshot {
  uint64 index = 1;
  uint64 term = 2;
  repeated uint64 voters = 3;
  bytes data = 4;
}

message TimeoutNow {}
`;
