//! The commands that are sent, and their replies. Every key that is written gets a lifetime.

use std::time::Duration;

use redis::{Pipeline, Value};

/// The longest value that is read, in bytes: whatever was put there, no more is taken.
const MAX_VALUE: usize = 256 << 10;

/// Deletes a key if it still holds a value.
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
/// The digits of the turn that a value begins with.
pub(crate) const TURN: usize = 16;
/// Writes a value of some turn unless there is one of a later turn.
const WRITE_IN_TURN: &str = "local turn = tonumber(redis.call('GETRANGE', KEYS[1], 0, 15)) \
     if turn and turn > tonumber(ARGV[2]) then return 0 end \
     redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) return 1";
/// HSETNX by commands that are needed anyway: access lists need not name more.
const WRITE_NEW_FIELD: &str = "if redis.call('HMGET', KEYS[1], ARGV[1])[1] then return 0 end \
     return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])";

/// Commands that are sent together. In a cluster, their keys must share a hash tag.
#[derive(Default)]
pub(crate) struct Commands(pub(super) Pipeline);

/// One reply for each command that was sent, in their order.
pub(crate) type Replies = std::vec::IntoIter<Reply>;

/// The reply to one command, whatever it is.
pub(crate) struct Reply(pub(super) Value);

impl Commands {
    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a value: bytes, empty if there is none.
    pub(crate) fn read(&mut self, key: &str) {
        self.0.cmd("GETRANGE").arg(key).arg(0).arg(MAX_VALUE - 1);
    }

    /// How long a key lives on: a number of milliseconds, negative if it has no end or is not there.
    pub(crate) fn life(&mut self, key: &str) {
        self.0.cmd("PTTL").arg(key);
    }

    /// Reads fields: a list.
    pub(crate) fn read_fields(&mut self, key: &str, fields: &[String]) {
        self.0.cmd("HMGET").arg(key).arg(fields);
    }

    /// Writes a value, whatever is there.
    pub(crate) fn write(&mut self, key: &str, value: &[u8], life: Duration) {
        self.0.cmd("SET").arg(key).arg(value).arg("PX").arg(millis(life));
    }

    /// Writes a value unless there is one: then the reply is nothing.
    pub(crate) fn write_new(&mut self, key: &str, value: &[u8], life: Duration) {
        self.0.cmd("SET").arg(key).arg(value).arg("NX").arg("PX").arg(millis(life));
    }

    /// Writes a value that begins with its turn, unless there is one of a later turn.
    pub(crate) fn write_in_turn(&mut self, key: &str, turn: u64, value: &[u8], life: Duration) {
        self.0.cmd("EVAL").arg(WRITE_IN_TURN).arg(1).arg(key).arg(value).arg(turn).arg(millis(life));
    }

    /// Takes the next turn: three replies, of which the last is its number. The first one comes after `first`.
    pub(crate) fn take_turn(&mut self, key: &str, first: u64, life: Duration) {
        self.0.cmd("SET").arg(key).arg(first).arg("NX").arg("PX").arg(millis(life));
        self.0.cmd("PEXPIRE").arg(key).arg(millis(life));
        self.0.cmd("INCR").arg(key);
    }

    /// Writes a field where there is none. The key gets its lifetime by [`Self::write_fields`].
    pub(crate) fn write_new_field(&mut self, key: &str, field: &str, value: &[u8]) {
        self.0.cmd("EVAL").arg(WRITE_NEW_FIELD).arg(1).arg(key).arg(field).arg(value);
    }

    /// Writes fields.
    pub(crate) fn write_fields(&mut self, key: &str, fields: &[(String, Vec<u8>)], life: Duration) {
        if fields.is_empty() {
            return;
        }
        let command = self.0.cmd("HSET").arg(key);
        for (field, value) in fields {
            command.arg(field).arg(value.as_slice());
        }
        self.0.cmd("PEXPIRE").arg(key).arg(millis(life));
    }

    /// Removes fields.
    pub(crate) fn remove_fields(&mut self, key: &str, fields: &[String]) {
        if !fields.is_empty() {
            self.0.cmd("HDEL").arg(key).arg(fields);
        }
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, key: &str) {
        self.0.cmd("DEL").arg(key);
    }

    /// Removes a key if it holds that value.
    pub(crate) fn release(&mut self, key: &str, value: &[u8]) {
        self.0.cmd("EVAL").arg(RELEASE).arg(1).arg(key).arg(value);
    }

    /// Puts a value first in a list of at most `most`.
    pub(crate) fn push(&mut self, key: &str, value: &[u8], most: usize, life: Duration) {
        self.0.cmd("LPUSH").arg(key).arg(value);
        self.0.cmd("LTRIM").arg(key).arg(0).arg(most - 1);
        self.0.cmd("PEXPIRE").arg(key).arg(millis(life));
    }

    /// Reads a list of at most `most`.
    pub(crate) fn list(&mut self, key: &str, most: usize) {
        self.0.cmd("LRANGE").arg(key).arg(0).arg(most - 1);
    }

    /// Tells all who have subscribed to a channel.
    pub(crate) fn publish(&mut self, channel: &str, message: &[u8]) {
        self.0.cmd("PUBLISH").arg(channel).arg(message);
    }
}

fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Reply {
    /// Whether there is no value.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(&self.0, Value::Nil) || matches!(&self.0, Value::BulkString(bytes) if bytes.is_empty())
    }

    /// The bytes, if it is some.
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        if let Value::BulkString(bytes) = self.0 {
            Some(bytes).filter(|bytes| !bytes.is_empty())
        } else {
            None
        }
    }

    /// The number, if it is one.
    pub(crate) fn number(&self) -> Option<i64> {
        if let Value::Int(number) = self.0 { Some(number) } else { None }
    }

    /// The values, any of which may be missing; none if it is no list.
    pub(crate) fn list(self) -> Vec<Option<Vec<u8>>> {
        let Value::Array(values) = self.0 else { return Vec::new() };
        values.into_iter().map(|value| Self(value).bytes()).collect()
    }
}
