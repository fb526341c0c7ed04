"""The dashboard's panels as pure functions from a `View` to lines of cells; none of them knows Textual."""
