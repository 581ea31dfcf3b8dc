"""The documentation site: pages that are generated from the code, and what mkdocs calls when it builds."""
