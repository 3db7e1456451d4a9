"""Operators: what a node does when it asks no model. One small file each; `registry` names them all."""
