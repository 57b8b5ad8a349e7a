//! What few monitors have besides a reference and a pid (another object, a tag), and the aliases of a process.
//!
//! An alias is a reference that messages go through while it is active. The VM's table (`Aliases`) tells whose it is,
//! and the process itself (`Rare::aliases`) whether a message that has come through it still counts: so one that its
//! sender sent before it could know of the end is dropped as well.

use std::sync::Arc;

use otp_heap::{OwnedTerm, Pid, Ref, atoms, to_block};

use super::State;
use crate::core::Core;
use crate::envelope::{self, Envelope, Kind, Parcel};
use crate::message::Monitored;

/// When an alias ends, except by `unalias` and with its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AliasLife {
    Explicit,
    /// With the first message through it.
    Reply,
    /// With its monitor.
    Demonitor,
    /// With its monitor, or with the first message through it, which ends the monitor, too.
    ReplyDemonitor,
}

impl AliasLife {
    fn ends_with_monitor(self) -> bool {
        matches!(self, Self::Demonitor | Self::ReplyDemonitor)
    }

    fn ends_with_message(self) -> bool {
        matches!(self, Self::Reply | Self::ReplyDemonitor)
    }
}

/// What the message of a monitor says instead of `'DOWN'` and the pid.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// What it was asked for, if that is no pid.
    pub(crate) object: Option<Monitored>,
    pub(crate) tag: Option<Arc<OwnedTerm>>,
}

impl State {
    pub(crate) fn add_alias(&mut self, core: &Core, owner: Pid, alias: Ref, life: AliasLife) {
        core.aliases.insert(alias, owner);
        self.rare().aliases.insert(alias, life);
    }

    /// Whether there was one.
    pub(crate) fn remove_alias(&mut self, core: &Core, alias: Ref) -> bool {
        let removed = self
            .rare
            .as_mut()
            .and_then(|rare| rare.aliases.remove(&alias));
        if removed.is_some() {
            core.aliases.remove(alias);
        }
        removed.is_some()
    }

    /// What a monitor of this process's was asked for.
    pub(crate) fn monitored(&self, reference: Ref, pid: Pid) -> Monitored {
        let extras = self
            .rare
            .as_ref()
            .and_then(|rare| rare.extras.get(&reference));
        let object = extras.and_then(|extras| extras.object);
        object.unwrap_or(Monitored::Pid(pid))
    }

    fn alias_life(&self, alias: Ref) -> Option<AliasLife> {
        let rare = self.rare.as_ref()?;
        rare.aliases.get(&alias).copied()
    }

    /// Ends a monitor of this process's, and with it its alias, unless that stays. Gives whom it watched and what was
    /// asked of it.
    pub(crate) fn remove_monitor(&mut self, core: &Core, reference: Ref) -> Option<(Pid, Extras)> {
        let pid = self.monitors.remove(&reference)?;
        let extras = self
            .rare
            .as_mut()
            .and_then(|rare| rare.extras.remove(&reference));
        if self
            .alias_life(reference)
            .is_some_and(AliasLife::ends_with_monitor)
        {
            self.remove_alias(core, reference);
        }
        Some((pid, extras.unwrap_or_default()))
    }

    /// A message has come through an alias: whether it counts.
    pub(super) fn accepts(&mut self, core: &Core, owner: Pid, alias: Ref) -> bool {
        let Some(life) = self.alias_life(alias) else {
            return false;
        };
        if life.ends_with_message() {
            self.remove_alias(core, alias);
        }
        if life == AliasLife::ReplyDemonitor
            && let Some((pid, _)) = self.remove_monitor(core, alias)
        {
            core.signal(pid, envelope::signal(Kind::Demonitor, owner, alias));
        }
        true
    }
}

impl Extras {
    /// The message of a monitor, as it was asked for.
    #[inline]
    pub(super) fn retell(self, parcel: Parcel) -> Parcel {
        match self.object.is_none() && self.tag.is_none() {
            true => parcel,
            false => self.tell_otherwise(parcel),
        }
    }

    #[cold]
    fn tell_otherwise(self, parcel: Parcel) -> Parcel {
        let Envelope {
            from, reference, ..
        } = *parcel.header();
        let object = self.object.unwrap_or(Monitored::Pid(from));
        let Some(reason) = parcel.root().as_tuple().and_then(|down| down.get(4)) else {
            return parcel;
        };
        let envelope = || Envelope::new(Kind::Down, from, reference);
        let told = match &self.tag {
            Some(tag) => to_block(
                envelope(),
                &(&**tag, reference, atoms::PROCESS, object, reason),
            ),
            None => to_block(
                envelope(),
                &(atoms::DOWN, reference, atoms::PROCESS, object, reason),
            ),
        };
        // Of a reason that is too large beside the tag there is the plain news.
        told.unwrap_or(parcel)
    }
}
