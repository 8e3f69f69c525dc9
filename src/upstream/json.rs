//! The values of an upstream's body, as they were sent.

use std::borrow::Cow;

use super::number;

/// Up to so many members of an object are compared with each other; beyond that they are sorted.
const FEW: usize = 32;

/// An object's members, as they were sent. They are so few that looking at each is faster than a tree.
#[derive(Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    /// `None` if a key is given twice: which of the two would be the verdict?
    pub(super) fn new(members: Vec<(Cow<'a, str>, Json<'a>)>) -> Option<Self> {
        let object = Self(members);
        (!object.repeats_a_key()).then_some(object)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Json<'a>> {
        let at = self.iter().position(|(name, _)| name == key)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    fn repeats_a_key(&self) -> bool {
        if self.0.len() <= FEW {
            let mut members = self.0.iter().enumerate();
            return members.any(|(at, (name, _))| self.0[..at].iter().any(|(before, _)| before == name));
        }
        let mut names: Vec<_> = self.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// One JSON value. It borrows from the body what the body spells as it is meant.
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// The digits as they were sent.
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Object<'a>),
}

impl<'a> Json<'a> {
    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(*flag) } else { None }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The digits of a number, or text that may be one.
    pub(super) fn as_digits(&self) -> Option<&str> {
        if let Self::Number(digits) = self { Some(digits) } else { self.as_text().map(str::trim) }
    }

    /// A whole number, as a number or as text, also where it is written with an exponent or a fraction of zeros.
    pub(super) fn as_whole(&self) -> Option<i64> {
        number::whole(self.as_digits()?)?.parse().ok()
    }

    pub(super) fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    pub(super) const fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(Json<'static>: std::fmt::Debug, std::fmt::Display);
