//! `prune` and `du`: what takes space, and what of it goes.

use jettison_store::{CacheScope, Damage, ImageScope, PruneFilter, Pruned, Store, Usage};

use crate::{Error, PruneSettings};

/// Removes what the settings say, and all that nothing needs any more.
pub fn prune(store: &Store, settings: &PruneSettings) -> Result<Pruned, Error> {
    let images = match (settings.images, settings.all) {
        (false, _) => ImageScope::None,
        (true, false) => ImageScope::Dangling,
        (true, true) => ImageScope::All,
    };
    let cache = match (settings.cache, settings.all) {
        (false, _) => CacheScope::None,
        (true, false) => CacheScope::Unused,
        (true, true) => CacheScope::All,
    };
    let filter = PruneFilter { images, cache, until: settings.until, keep_storage: settings.keep_storage };
    Ok(store.prune(&filter)?)
}

/// Reads everything in the store, and returns what is not as its name promises.
pub fn check_store(store: &Store) -> Result<Vec<Damage>, Error> {
    Ok(store.check()?)
}

/// Measures the store.
pub fn usage(store: &Store) -> Result<Usage, Error> {
    Ok(store.usage()?)
}
