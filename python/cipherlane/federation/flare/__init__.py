"""The engine `nvflare`: the same plan and the same roles, each a site of NVIDIA FLARE (extra ``nvflare``).

`site` is what runs at a data party or the arbiter (`role_host` without FLARE), `server` what runs at the coordinator,
`engine` what carries the calls between them, `job` what is handed to FLARE, `simulator` a whole federation of processes
on one machine. A job carries no code: every site runs the software it has installed itself.
"""
