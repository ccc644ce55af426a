"""Command line, HTTP, web and MCP: parse, call the workspace, render."""
