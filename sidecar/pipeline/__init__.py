"""The order of the steps and nothing else: intake (capture → match → pre-queue → queue), dispatch (queue → post-queue
→ deliver)."""
