# pragma version ~=0.4.3
# pragma evm-version london
# pragma optimize gas
"""
@title Training ledger
@license Apache-2.0
@notice Who takes part in federated training, who may use which data set in which plan until when, what each party
        says it sent and saw in every round, and which models came out. It holds addresses, digests and times: never
        data, ids, ciphertexts or models. Digests of what could be guessed are salted, and the salt stays off chain.
"""

GUEST: constant(uint256) = 1
HOST: constant(uint256) = 2
ARBITER: constant(uint256) = 4
COORDINATOR: constant(uint256) = 8
AUDITOR: constant(uint256) = 16
ALL_ROLES: constant(uint256) = 31

MAXIMUM_PARTIES: constant(uint256) = 64
MAXIMUM_DEPTH: constant(uint256) = 40

PROPOSED: constant(uint256) = 1
ACTIVE: constant(uint256) = 2
CLOSED: constant(uint256) = 3
ABORTED: constant(uint256) = 4

DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
COMMITMENT_TYPE: constant(bytes32) = keccak256(
    "Commitment(bytes32 planId,uint256 round,bytes32 sentRoot,bytes32 seenRoot,uint256 count)"
)
# A signature with a larger s has a twin with a smaller one; only that one is taken.
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168


struct Member:
    roles: uint256
    keyDigest: bytes32
    active: bool


struct Change:
    account: address
    roles: uint256
    keyDigest: bytes32
    votes: uint256
    epoch: uint256
    done: bool


struct Plan:
    proposer: address
    planHash: bytes32
    parties: uint256
    accepted: uint256
    recorded: uint256
    status: uint256
    maxRounds: uint256


struct Tree:
    root: bytes32
    size: uint256


event MemberChanged:
    account: indexed(address)
    roles: uint256
    keyDigest: bytes32


event ChangeProposed:
    changeId: indexed(uint256)
    account: indexed(address)
    proposer: indexed(address)
    roles: uint256
    keyDigest: bytes32


event Voted:
    changeId: indexed(uint256)
    member: indexed(address)


event DatasetRegistered:
    datasetId: indexed(bytes32)
    owner: indexed(address)
    schemaDigest: bytes32


event AccessSet:
    datasetId: indexed(bytes32)
    planId: indexed(bytes32)
    owner: indexed(address)
    expiry: uint256


event PlanProposed:
    planId: indexed(bytes32)
    proposer: indexed(address)
    planHash: bytes32
    maxRounds: uint256


event PlanAccepted:
    planId: indexed(bytes32)
    party: indexed(address)
    datasetId: bytes32


event PlanStatus:
    planId: indexed(bytes32)
    status: uint256


event RoundCommitted:
    planId: indexed(bytes32)
    sender: indexed(address)
    round: indexed(uint256)
    sentRoot: bytes32
    seenRoot: bytes32
    count: uint256


event ModelRecorded:
    planId: indexed(bytes32)
    party: indexed(address)
    version: uint256
    parentDigest: bytes32
    modelDigest: bytes32
    metricsDigest: bytes32


members: public(HashMap[address, Member])
memberCount: public(uint256)
# Counts changes of membership, so that votes given before one do not count after it.
epoch: public(uint256)
changes: public(HashMap[uint256, Change])
changeCount: public(uint256)
voted: HashMap[uint256, HashMap[address, bool]]

datasetOwner: public(HashMap[bytes32, address])
access: public(HashMap[bytes32, HashMap[bytes32, uint256]])

plans: public(HashMap[bytes32, Plan])
isParty: public(HashMap[bytes32, HashMap[address, bool]])
hasAccepted: public(HashMap[bytes32, HashMap[address, bool]])
broughtDataset: public(HashMap[bytes32, HashMap[address, bytes32]])
nextRound: public(HashMap[bytes32, HashMap[address, uint256]])
sent: public(HashMap[bytes32, HashMap[address, HashMap[uint256, Tree]]])
models: public(HashMap[bytes32, HashMap[address, bytes32]])


@deploy
def __init__(
    founders: DynArray[address, MAXIMUM_PARTIES],
    roles: DynArray[uint256, MAXIMUM_PARTIES],
    keyDigests: DynArray[bytes32, MAXIMUM_PARTIES],
):
    assert len(founders) != 0 and len(founders) == len(roles) and len(founders) == len(keyDigests), "lengths differ"
    for i: uint256 in range(len(founders), bound=MAXIMUM_PARTIES):
        assert roles[i] != 0 and not self.members[founders[i]].active, "founder without role or twice"
        self._set_member(founders[i], roles[i], keyDigests[i])


# Membership. A change takes a strict majority of the members: both, when there are two.


@external
def proposeChange(account: address, roles: uint256, keyDigest: bytes32) -> uint256:
    """
    @notice Propose to admit an account, change its roles or key, or (with no roles) remove it; counts as a vote for it
    """
    self._only_member()
    assert account != empty(address), "no account"
    change_id: uint256 = self.changeCount
    self.changeCount = change_id + 1
    self.changes[change_id] = Change(
        account=account, roles=roles, keyDigest=keyDigest, votes=0, epoch=self.epoch, done=False
    )
    log ChangeProposed(changeId=change_id, account=account, proposer=msg.sender, roles=roles, keyDigest=keyDigest)
    self._vote(change_id)
    return change_id


@external
def vote(changeId: uint256):
    """
    @notice Vote for a proposed change
    """
    self._only_member()
    self._vote(changeId)


@internal
def _vote(change_id: uint256):
    change: Change = self.changes[change_id]
    assert change.account != empty(address), "no such change"
    assert change.done or change.epoch == self.epoch, "membership changed since it was proposed"
    assert not self.voted[change_id][msg.sender], "voted already"
    self.voted[change_id][msg.sender] = True
    self.changes[change_id].votes = change.votes + 1
    log Voted(changeId=change_id, member=msg.sender)
    # A vote after the majority is on record, and changes nothing.
    if not change.done and (change.votes + 1) * 2 > self.memberCount:
        self.changes[change_id].done = True
        self._set_member(change.account, change.roles, change.keyDigest)
        self.epoch += 1


@internal
def _set_member(account: address, roles: uint256, key_digest: bytes32):
    assert account != empty(address), "no account"
    assert roles <= ALL_ROLES, "unknown role"
    was: bool = self.members[account].active
    now: bool = roles != 0
    if now and not was:
        self.memberCount += 1
    if was and not now:
        assert self.memberCount > 1, "the last member"
        self.memberCount -= 1
    self.members[account] = Member(roles=roles, keyDigest=key_digest, active=now)
    log MemberChanged(account=account, roles=roles, keyDigest=key_digest)


@internal
@view
def _only_member():
    assert self.members[msg.sender].active, "not a member"


# Data sets and who may use them. Ids derive from the caller, so that nobody can take another's.


@external
def registerDataset(label: bytes32, schemaDigest: bytes32) -> bytes32:
    """
    @notice Register a data set; its id is keccak256(abi.encode(caller, label))
    """
    self._only_member()
    dataset_id: bytes32 = keccak256(abi_encode(msg.sender, label))
    assert self.datasetOwner[dataset_id] == empty(address), "registered already"
    self.datasetOwner[dataset_id] = msg.sender
    log DatasetRegistered(datasetId=dataset_id, owner=msg.sender, schemaDigest=schemaDigest)
    return dataset_id


@external
def setAccess(datasetId: bytes32, planId: bytes32, expiry: uint256):
    """
    @notice Let a plan use a data set until a time; 0 revokes, and takes effect at the next round
    """
    assert self.datasetOwner[datasetId] == msg.sender, "not the owner"
    self.access[datasetId][planId] = expiry
    log AccessSet(datasetId=datasetId, planId=planId, owner=msg.sender, expiry=expiry)


@external
@view
def authorised(datasetId: bytes32, planId: bytes32) -> bool:
    """
    @notice Whether a plan may use a data set now
    """
    return self._authorised(datasetId, planId)


@internal
@view
def _authorised(dataset_id: bytes32, plan_id: bytes32) -> bool:
    return self.access[dataset_id][plan_id] > block.timestamp


# Plans.


@external
def proposePlan(
    label: bytes32, planHash: bytes32, parties: DynArray[address, MAXIMUM_PARTIES], maxRounds: uint256
) -> bytes32:
    """
    @notice Propose a plan; its id is keccak256(abi.encode(caller, label))
    """
    self._only_member()
    plan_id: bytes32 = keccak256(abi_encode(msg.sender, label))
    assert self.plans[plan_id].status == 0, "plan exists"
    assert len(parties) > 1, "a plan needs two parties"
    for party: address in parties:
        assert self.members[party].active, "party is not a member"
        assert not self.isParty[plan_id][party], "party is named twice"
        self.isParty[plan_id][party] = True
    self.plans[plan_id] = Plan(
        proposer=msg.sender,
        planHash=planHash,
        parties=len(parties),
        accepted=0,
        recorded=0,
        status=PROPOSED,
        maxRounds=maxRounds,
    )
    log PlanProposed(planId=plan_id, proposer=msg.sender, planHash=planHash, maxRounds=maxRounds)
    log PlanStatus(planId=plan_id, status=PROPOSED)
    return plan_id


@external
def acceptPlan(planId: bytes32, planHash: bytes32, datasetId: bytes32):
    """
    @notice Accept a plan; a guest or host names its data set, to which the plan must have live access
    """
    assert self.isParty[planId][msg.sender], "not a party"
    assert self.plans[planId].status == PROPOSED, "plan is not open"
    assert self.plans[planId].planHash == planHash, "another plan"
    assert not self.hasAccepted[planId][msg.sender], "accepted already"
    if self.members[msg.sender].roles & (GUEST | HOST) != 0:
        assert self.datasetOwner[datasetId] == msg.sender, "not the owner"
        assert self._authorised(datasetId, planId), "no access"
        self.broughtDataset[planId][msg.sender] = datasetId
    else:
        assert datasetId == empty(bytes32), "brings no data set"
    self.hasAccepted[planId][msg.sender] = True
    accepted: uint256 = self.plans[planId].accepted + 1
    self.plans[planId].accepted = accepted
    log PlanAccepted(planId=planId, party=msg.sender, datasetId=datasetId)
    if accepted == self.plans[planId].parties:
        self._set_status(planId, ACTIVE)


@external
def abortPlan(planId: bytes32):
    """
    @notice End a plan that is not closed; any party may
    """
    assert self.isParty[planId][msg.sender], "not a party"
    status: uint256 = self.plans[planId].status
    assert status == PROPOSED or status == ACTIVE, "plan is not open"
    self._set_status(planId, ABORTED)


@internal
def _set_status(plan_id: bytes32, status: uint256):
    self.plans[plan_id].status = status
    log PlanStatus(planId=plan_id, status=status)


# Rounds.


@external
def commit(planId: bytes32, round: uint256, sentRoot: bytes32, seenRoot: bytes32, count: uint256):
    """
    @notice Commit to the messages of the caller's next round: Merkle roots of those sent and seen, and how many were sent
    """
    self._commit(msg.sender, planId, round, sentRoot, seenRoot, count)


@external
def commitFor(
    expectedSender: address,
    planId: bytes32,
    round: uint256,
    sentRoot: bytes32,
    seenRoot: bytes32,
    count: uint256,
    signature: Bytes[65],
):
    """
    @notice Carry a party's signed commitment (EIP-712) to the chain; anyone may
    """
    assert len(signature) == 65, "signature"
    r: uint256 = convert(slice(signature, 0, 32), uint256)
    s: uint256 = convert(slice(signature, 32, 32), uint256)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    assert s <= HALF_ORDER, "signature"
    commitment: bytes32 = keccak256(abi_encode(COMMITMENT_TYPE, planId, round, sentRoot, seenRoot, count))
    digest: bytes32 = keccak256(concat(b"\x19\x01", self._domain(), commitment))
    signer: address = ecrecover(digest, v, r, s)
    assert signer != empty(address) and signer == expectedSender, "signature"
    self._commit(signer, planId, round, sentRoot, seenRoot, count)


@external
@view
def domainSeparator() -> bytes32:
    """
    @notice The EIP-712 domain that signed commitments are bound to
    """
    return self._domain()


@internal
@view
def _domain() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPE, keccak256("TrainingLedger"), keccak256("1"), chain.id, self))


@internal
def _commit(
    sender: address, plan_id: bytes32, round: uint256, sent_root: bytes32, seen_root: bytes32, count: uint256
):
    assert self.isParty[plan_id][sender], "not a party"
    assert self.members[sender].active, "not a member"
    assert self.plans[plan_id].status == ACTIVE, "plan is not active"
    assert round == self.nextRound[plan_id][sender], "round is not the next"
    assert round < self.plans[plan_id].maxRounds, "round is past the plan"
    dataset_id: bytes32 = self.broughtDataset[plan_id][sender]
    if dataset_id != empty(bytes32):
        assert self._authorised(dataset_id, plan_id), "access revoked or expired"
    self.nextRound[plan_id][sender] = round + 1
    self.sent[plan_id][sender][round] = Tree(root=sent_root, size=count)
    log RoundCommitted(
        planId=plan_id, sender=sender, round=round, sentRoot=sent_root, seenRoot=seen_root, count=count
    )


@external
@view
def verifyLeaf(
    planId: bytes32,
    sender: address,
    round: uint256,
    leaf: bytes32,
    index: uint256,
    proof: DynArray[bytes32, MAXIMUM_DEPTH],
) -> bool:
    """
    @notice Whether the message with this leaf hash stands at this place among those a party committed to have sent
    @dev RFC 9162, 2.1.3.2
    """
    tree: Tree = self.sent[planId][sender][round]
    if index >= tree.size:
        return False
    place: uint256 = index
    last: uint256 = tree.size - 1
    node: bytes32 = leaf
    for sibling: bytes32 in proof:
        if last == 0:
            return False
        if place & 1 == 1 or place == last:
            node = sha256(concat(b"\x01", sibling, node))
            for _: uint256 in range(256):
                if place & 1 == 1 or place == 0:
                    break
                place >>= 1
                last >>= 1
        else:
            node = sha256(concat(b"\x01", node, sibling))
        place >>= 1
        last >>= 1
    return last == 0 and node == tree.root


# Models.


@external
def recordModel(
    planId: bytes32, version: uint256, parentDigest: bytes32, modelDigest: bytes32, metricsDigest: bytes32
):
    """
    @notice Record what a party ends a plan with; when every party has, the plan is closed
    @dev A first version has no parent, every later one names the model it went on from
    """
    assert self.isParty[planId][msg.sender], "not a party"
    assert self.members[msg.sender].active, "not a member"
    assert self.plans[planId].status == ACTIVE, "plan is not active"
    assert modelDigest != empty(bytes32), "no digest"
    assert version != 0 and (version == 1) == (parentDigest == empty(bytes32)), "version and parent"
    assert self.models[planId][msg.sender] == empty(bytes32), "recorded already"
    self.models[planId][msg.sender] = modelDigest
    log ModelRecorded(
        planId=planId,
        party=msg.sender,
        version=version,
        parentDigest=parentDigest,
        modelDigest=modelDigest,
        metricsDigest=metricsDigest,
    )
    recorded: uint256 = self.plans[planId].recorded + 1
    self.plans[planId].recorded = recorded
    if recorded == self.plans[planId].parties:
        self._set_status(planId, CLOSED)
