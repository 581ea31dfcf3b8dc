"""What the HTML pages share: style, script and data inside the page, and a policy that allows nothing else."""
