//! What typed references of all behaviours can do: be made of a pid or a name, and tell whom they name.

/// Functions of a reference that has `new(Target)` and a field `target`; `$whom` is what it refers to, for the docs.
macro_rules! reference {
    ($whom:literal) => {
        #[doc = concat!("The ", $whom, " with this pid. That it is of the reference's type is taken on trust: one that ")]
        /// is not will treat the messages as unknown.
        pub fn from_pid(pid: otp_vm::Pid) -> Self {
            Self::new($crate::r#gen::Target::Pid(pid))
        }

        #[doc = concat!("Whichever ", $whom, " has this name when the reference is used.")]
        ///
        /// # Errors
        /// When the text can't be an atom: longer than 255 characters, or the table of atoms is full.
        pub fn from_name(name: &str) -> Result<Self, otp_vm::AtomError> {
            let name = otp_vm::Atom::new(name)?;
            Ok(Self::new($crate::r#gen::Target::Name(name)))
        }

        /// The same, at a node. `{Name, Node}`.
        ///
        /// # Errors
        /// As [`from_name`](Self::from_name).
        pub fn from_name_at(name: &str, node: otp_vm::Atom) -> Result<Self, otp_vm::AtomError> {
            let name = otp_vm::Atom::new(name)?;
            Ok(Self::new($crate::r#gen::Target::NameAt(name, node)))
        }

        #[doc = concat!("Whichever ", $whom, " has this name when the reference is used, as `via` knows: a ")]
        /// [`Registry`](crate::Registry), or what else implements [`Via`](crate::Via). `{via, Module, Name}`.
        ///
        /// # Errors
        /// When the name can't be a term.
        pub fn via<V: $crate::Via>(via: &V, name: &V::Name) -> Result<Self, otp_vm::EncodeError> {
            via.target(name).map(Self::new)
        }

        /// Whom the reference names, without the type.
        pub fn target(&self) -> &$crate::r#gen::Target {
            &self.target
        }

        /// The pid behind the reference now, if the name is taken. `GenServer.whereis/1`. A reference by pid gives the
        /// pid, alive or not.
        pub fn whereis(&self, cx: &otp_vm::Context) -> Option<otp_vm::Pid> {
            self.target.whereis(cx)
        }

        /// The pid of a reference by pid, such as a start gives.
        pub fn pid(&self) -> Option<otp_vm::Pid> {
            match self.target {
                $crate::r#gen::Target::Pid(pid) => Some(pid),
                _ => None,
            }
        }
    };
}

/// What each of them is besides, given that it has `new` and `target`: a [`Target`](super::Target), a part of messages,
/// and equal to what names the same.
macro_rules! reference_traits {
    ($name:ident<$of:ident>) => {
        impl<$of> From<&$name<$of>> for $crate::r#gen::Target {
            fn from(reference: &$name<$of>) -> Self {
                reference.target().clone()
            }
        }

        impl<$of> std::fmt::Debug for $name<$of> {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter
                    .debug_tuple(stringify!($name))
                    .field(self.target())
                    .finish()
            }
        }

        /// By whom they name.
        impl<$of> PartialEq for $name<$of> {
            fn eq(&self, other: &Self) -> bool {
                self.target() == other.target()
            }
        }

        impl<$of> Eq for $name<$of> {}

        impl<$of> serde::Serialize for $name<$of> {
            fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                self.target().serialize(serializer)
            }
        }

        impl<'de, $of> serde::Deserialize<'de> for $name<$of> {
            fn deserialize<Z: serde::Deserializer<'de>>(deserializer: Z) -> Result<Self, Z::Error> {
                $crate::r#gen::Target::deserialize(deserializer).map(Self::new)
            }
        }
    };
}

pub(crate) use {reference, reference_traits};
