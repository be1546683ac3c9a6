//! Stories of this room.
