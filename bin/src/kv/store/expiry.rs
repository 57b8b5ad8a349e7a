//! EXPIRE, PEXPIRE, PERSIST.

use otp_vm::Context;

use super::{Done, Store};
use crate::kv::entry::{Entry, Value};
use crate::kv::resp::{Arguments, Refusal, Reply, parse_i64};

/// EXPIRE's options.
#[derive(Clone, Copy, Debug, Default)]
struct ExpireOptions {
    if_none: bool,
    if_some: bool,
    if_greater: bool,
    if_less: bool,
}

impl ExpireOptions {
    fn parse(arguments: Arguments<'_>) -> Result<ExpireOptions, Refusal> {
        let mut options = ExpireOptions::default();
        for word in arguments.from(3) {
            let flag = match word.to_ascii_lowercase().as_slice() {
                b"nx" => &mut options.if_none,
                b"xx" => &mut options.if_some,
                b"gt" => &mut options.if_greater,
                b"lt" => &mut options.if_less,
                _ => {
                    return Err(Refusal::UnsupportedOption(
                        String::from_utf8_lossy(word).into_owned(),
                    ));
                }
            };
            *flag = true;
        }
        if options.if_none && (options.if_some || options.if_greater || options.if_less) {
            return Err(Refusal::ExpireNxWithOthers);
        }
        if options.if_greater && options.if_less {
            return Err(Refusal::ExpireGtWithLt);
        }
        Ok(options)
    }

    /// Whether the end may be moved from `old` (0 for never) to `new`. Never counts as later than any time.
    fn allow(self, old: i64, new: i64) -> bool {
        !(self.if_none && old != 0
            || self.if_some && old == 0
            || self.if_greater && (old == 0 || new <= old)
            || self.if_less && old != 0 && new >= old)
    }
}

impl Store {
    pub(super) fn expire(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        name: &'static str,
        unit: i64,
        reply: &mut Reply,
    ) -> Done {
        let options = ExpireOptions::parse(arguments)?;
        let time = parse_i64(&arguments[2]).ok_or(Refusal::NotAnInteger)?;
        let expires_at = time
            .checked_mul(unit)
            .and_then(|time| time.checked_add(self.now))
            .ok_or(Refusal::InvalidExpire(name))?;
        let key = &arguments[1];
        let Some(old) = self.look(cx, key, |entry| entry.expires_at)? else {
            reply.flag(false);
            return Ok(());
        };
        let allowed = options.allow(old, expires_at);
        if allowed && expires_at <= self.now {
            self.remove(cx, key)?;
        } else if allowed {
            self.set_expiry(cx, key, expires_at)?;
        }
        reply.flag(allowed);
        Ok(())
    }

    pub(super) fn persist(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Done {
        let key = &arguments[1];
        let expires = self
            .look(cx, key, |entry| entry.expires_at != 0)?
            .unwrap_or(false);
        if expires {
            self.set_expiry(cx, key, 0)?;
        }
        reply.flag(expires);
        Ok(())
    }

    /// Writes a key's row again with another end.
    fn set_expiry(&mut self, cx: &Context, key: &[u8], expires_at: i64) -> Done {
        enum Copied {
            String(Vec<u8>),
            Container(crate::kv::entry::Container),
        }
        let copied = self.look(cx, key, |entry| match entry.value {
            Value::String(bytes) => Copied::String(bytes.to_vec()),
            Value::Container(container) => Copied::Container(container),
        })?;
        let value = match &copied {
            None => return Ok(()),
            Some(Copied::String(bytes)) => Value::String(bytes),
            Some(Copied::Container(container)) => Value::Container(*container),
        };
        self.put(cx, key, Entry { expires_at, value })
    }
}
