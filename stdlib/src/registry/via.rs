//! A registry as the keeper of servers' names.

use std::marker::PhantomData;
use std::sync::Arc;

use otp_vm::{Atom, Context, EncodeError, OwnedTerm, Pid, to_term};
use serde::Serialize;

use super::{RegisterError, Registry, whereis_key};
use crate::r#gen::{NameError, RegistryKey, Target, Via};

/// The process is registered under the key, with the default value. Elixir's `{:via, Registry, {Registry, Key}}`.
impl<K, V> Via for Registry<K, V>
where
    K: Serialize + 'static,
    V: Serialize + Default + 'static,
{
    type Name = K;

    fn module(&self) -> Atom {
        self.atom()
    }

    async fn register_name(&self, cx: &mut Context, name: &OwnedTerm) -> Result<(), NameError> {
        let value =
            to_term(&V::default()).map_err(|error| NameError::Refused(error.to_string()))?;
        register(&self.of_terms(), cx, name, &value).await
    }

    fn unregister_name(&self, cx: &Context, name: &OwnedTerm) {
        self.of_terms().unregister(cx, name);
    }

    fn whereis_name(&self, cx: &Context, name: &OwnedTerm) -> Option<Pid> {
        whereis_key(cx, self.atom(), name)
    }

    fn target(&self, name: &K) -> Result<Target, EncodeError> {
        target(self.atom(), name)
    }
}

fn target<K: Serialize>(registry: Atom, key: &K) -> Result<Target, EncodeError> {
    let key = to_term(key)?;
    Ok(Target::Registry(Arc::new(RegistryKey { registry, key })))
}

/// A registry, with the value that a process registers itself with.
pub(crate) struct Valued<K> {
    registry: Registry<OwnedTerm, OwnedTerm>,
    value: Arc<OwnedTerm>,
    keys: PhantomData<fn(K)>,
}

impl<K> Valued<K> {
    pub(crate) fn new<V: Serialize>(
        registry: &Registry<K, V>,
        value: &V,
    ) -> Result<Self, EncodeError> {
        Ok(Self {
            registry: registry.of_terms(),
            value: Arc::new(to_term(value)?),
            keys: PhantomData,
        })
    }
}

impl<K> Clone for Valued<K> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry,
            value: Arc::clone(&self.value),
            keys: PhantomData,
        }
    }
}

impl<K: Serialize + 'static> Via for Valued<K> {
    type Name = K;

    fn module(&self) -> Atom {
        self.registry.atom()
    }

    async fn register_name(&self, cx: &mut Context, name: &OwnedTerm) -> Result<(), NameError> {
        register(&self.registry, cx, name, &self.value).await
    }

    fn unregister_name(&self, cx: &Context, name: &OwnedTerm) {
        self.registry.unregister(cx, name);
    }

    fn whereis_name(&self, cx: &Context, name: &OwnedTerm) -> Option<Pid> {
        whereis_key(cx, self.registry.atom(), name)
    }

    fn target(&self, name: &K) -> Result<Target, EncodeError> {
        target(self.registry.atom(), name)
    }
}

async fn register(
    registry: &Registry<OwnedTerm, OwnedTerm>,
    cx: &mut Context,
    key: &OwnedTerm,
    value: &OwnedTerm,
) -> Result<(), NameError> {
    match registry.register(cx, key, value).await {
        Ok(()) => Ok(()),
        Err(RegisterError::AlreadyRegistered(holder)) => Err(NameError::Taken(holder)),
        Err(error) => Err(NameError::Refused(error.to_string())),
    }
}
