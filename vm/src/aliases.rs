//! Whose an alias is.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use otp_heap::{Pid, Ref};
use otp_scheduler::lock::RwLock;

/// So many parts with a lock each, that senders through different aliases seldom meet. Chosen by feel.
const SHARDS: usize = 16;

/// Active aliases and their processes. Calls have none here: their replies carry the pid.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    shards: [RwLock<HashMap<Ref, Pid, FixedState>>; SHARDS],
}

impl Aliases {
    fn shard(&self, alias: Ref) -> &RwLock<HashMap<Ref, Pid, FixedState>> {
        // References of one thread follow each other.
        &self.shards[alias.as_u64() as usize % SHARDS]
    }

    pub(crate) fn insert(&self, alias: Ref, owner: Pid) {
        self.shard(alias).write().insert(alias, owner);
    }

    pub(crate) fn remove(&self, alias: Ref) {
        self.shard(alias).write().remove(&alias);
    }

    pub(crate) fn owner(&self, alias: Ref) -> Option<Pid> {
        self.shard(alias).read().get(&alias).copied()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::{AliasMode, Context, MonitorOptions, Vm};

    async fn makes_aliases(mut cx: Context) {
        for _ in 0..100 {
            cx.alias();
            cx.alias_reply();
            let options = MonitorOptions::new().alias(AliasMode::ReplyDemonitor);
            cx.monitor_opt(cx.parent(), options);
        }
        cx.receive().await;
    }

    #[test]
    fn none_is_left_of_who_has_ended() {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        let run = vm.run(|mut cx| async move {
            let (pid, _) = cx.spawn_monitor(makes_aliases).unwrap();
            cx.send(pid, &()).unwrap();
            cx.receive().await.down().expect("nothing else comes");
            let own = [cx.alias(), cx.alias_reply()];
            cx.send(own[1], &()).unwrap();
            cx.receive().await;
            let owner = |alias| cx.core().aliases.owner(alias);
            assert_eq!(own.map(owner), [Some(cx.pid()), None]);
        });
        run.wait().unwrap();
        let shards = &vm.core().aliases.shards;
        assert!(shards.iter().all(|shard| shard.read().is_empty()));
    }
}
