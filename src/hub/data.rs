//! [`HubData`]: values that a program keeps with a hub.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// Values that belong to a hub, at most one of each type.
///
/// A library that needs one of something per hub, such as a connection or a cache, can keep it
/// here. Values are reference-counted, so a clone that was taken out stays valid. The values are
/// dropped on the hub's thread with the last handle to the hub, or by [`remove`](HubData::remove).
/// A value that itself holds a [`Hub`](crate::Hub) keeps the hub alive and must be removed. If the
/// hub's thread ends first, the values are leaked.
///
/// # Examples
///
/// ```
/// # switchback::run(|| {
/// use std::cell::Cell;
/// use switchback::Hub;
///
/// struct Requests(Cell<u32>);
///
/// let hub = Hub::current();
/// hub.data().insert(Requests(Cell::new(0)));
/// let requests = hub.data().get::<Requests>().unwrap();
/// requests.0.set(1);
/// # assert_eq!(hub.data().remove::<Requests>().unwrap().0.get(), 1);
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct HubData(RefCell<HashMap<TypeId, Rc<dyn Any>>>);

impl HubData {
    /// Stores `value`, and returns the previous value of the same type.
    pub fn insert<V: 'static>(&self, value: V) -> Option<Rc<V>> {
        let old = self
            .0
            .borrow_mut()
            .insert(TypeId::of::<V>(), Rc::new(value));
        old.and_then(|old| old.downcast().ok())
    }

    /// Returns the value of this type, if there is one.
    pub fn get<V: 'static>(&self) -> Option<Rc<V>> {
        let value = self.0.borrow().get(&TypeId::of::<V>()).cloned();
        value.and_then(|value| value.downcast().ok())
    }

    /// Removes and returns the value of this type, if there is one.
    pub fn remove<V: 'static>(&self) -> Option<Rc<V>> {
        let value = self.0.borrow_mut().remove(&TypeId::of::<V>());
        value.and_then(|value| value.downcast().ok())
    }
}

impl fmt::Debug for HubData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubData")
            .field("values", &self.0.borrow().len())
            .finish_non_exhaustive()
    }
}
