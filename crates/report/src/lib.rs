//! Accounting and checks of a finished image; reads records, indexes and configs.
