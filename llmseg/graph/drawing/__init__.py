"""From the drawn graph (UI form) to the prompt (API form) that the editor's page would queue.

records            nodes, links and ports of a drawing
sockets            the input sockets that a class has today
widgets            positions in `widgets_values` to names
reading            the file's records, brought up to date with the classes
subgraphs          places of instances, and the values that they hold
resolution         what really feeds an input
dynamic_prompts    comments and random alternatives
tokens             dates and other nodes' values in texts
group_interface    what a legacy group shows to the outside
group_nodes        legacy groups, rewritten as subgraphs
editor             all of it together
"""
